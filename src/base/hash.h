// XXH3: fast, good, not against attackers who choose their input to collide.
#pragma once

#include <compare>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace batchwright {

struct Hash128 {
  uint64_t high = 0;
  uint64_t low = 0;
  friend auto operator<=>(const Hash128&, const Hash128&) = default;

  std::string hex() const;  // 32 digits
};

Hash128 hash128(std::string_view data);
uint64_t hash64(std::string_view data, uint64_t seed = 0);

// hash128 of data that comes in pieces.
class Hasher128 {
 public:
  Hasher128();
  ~Hasher128();
  Hasher128(const Hasher128&) = delete;
  Hasher128& operator=(const Hasher128&) = delete;

  void update(std::string_view data);
  Hash128 digest() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace batchwright
