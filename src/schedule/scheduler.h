// Continuous batching: which tokens of which sequences make the next step.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "batchwright/request.h"
#include "cache/page_cache.h"
#include "schedule/future_memory.h"
#include "step/attention_groups.h"
#include "step/step.h"

namespace batchwright {

// Of the beginning of a page fewer positions are not worth a copy, and not worth waiting for.
inline constexpr int kCopiedMin = 8;

struct SchedulerOptions {
  int max_batch = 64;          // sequences that hold pages at once
  int max_batch_tokens = 512;  // rows of a step
  bool share_prefixes = true;
  bool prefill_first = false;  // no sequence decodes while there is a prompt to compute: for measuring each alone
};

struct SequenceSpec {
  std::vector<TokenId> prompt;  // what is known from the beginning; not empty
  int answer_tokens = 0;        // of these, so many at the end belong to the answer: prompt_rows() leaves them out
  bool full_logits = false;     // whole rows of logits at the end of what is known, not just the argmax
  // First position of the prompt from which on every position gives a whole row of logits; pages that reach beyond it
  // are not taken from others. -1: none.
  int prompt_logits_from = -1;
  // Leading tokens of the prompt with which sequences that are still to be added begin as well; -1: not known. A wrong
  // number costs time, never bytes.
  int reused_tokens = -1;
  // Tokens that are expected to be generated, by which memory is planned. With too few of them sequences may have to
  // give up their pages, with too many fewer run at once.
  int expected_tokens = 0;
  // That can be generated at most. Who outlives what was expected of it is expected to reach twice as many, and twice
  // as many again, up to these: lengths have heavy tails. With fewer than expected_tokens: any token more may be the
  // last.
  int most_tokens = 0;
};

// A step holds decode tokens first, then prefill chunks in order of age, under one token budget (Sarathi-Serve, Agrawal
// et al. 2024). Sequences are admitted in order of age while the peak of what all that run will hold fits into memory
// (schedule/future_memory.h); pages that are awaited by sequences still to come count as taken. Where sequences drift
// apart - a long prompt takes many steps -, those with the most before them pause, their pages kept, until the others
// can end for certain. So nobody gives up a page as long as nobody generates more than expected. Where pages run out
// all the same, those that need one wait until others end; and where that would be most of those that decode, the
// youngest sequence gives up its own and is computed again - which by the arithmetic's rules gives the same bits. Every
// sequence ends, provided that one alone fits.
//
// Of a page that begins like another running sequence's the beginning is copied, so that nothing but what a sequence
// has alone is computed for it, wherever pages end.
//
// A sequence's output never depends on what this class decides. Not thread-safe.
class Scheduler {
 public:
  Scheduler(const SchedulerOptions& options, PageCache& cache);

  // The id by which the sequence is known; ascending, and the order of age.
  int64_t add(SequenceSpec spec);

  // Frees all that the sequence holds. Before commit(): nothing of the step that is under way is shared.
  void remove(int64_t sequence);

  // The next tokens (at least one) of a sequence whose known tokens are all computed: several are computed as one run,
  // of which the last gives logits.
  void append(int64_t sequence, std::span<const TokenId> tokens);
  void set_full_logits(int64_t sequence, bool full);

  // SequenceSpec::reused_tokens, before the next step.
  void set_reused_tokens(int64_t sequence, int tokens);

  // From the next step on; no less than max_batch, and no more than at the beginning.
  void set_max_batch_tokens(int tokens);

  // Plans the next step; it stays valid until the next call. Without rows where there is nothing to do.
  const Step& plan();

  // The planned step has been computed.
  void commit();

  int running() const { return static_cast<int>(running_.size()); }
  int waiting() const { return static_cast<int>(waiting_.size()); }
  int64_t preemptions() const { return preemptions_; }
  // Of the step planned last. Sequences that gave up their pages for it, in that order:
  std::span<const int64_t> preempted() const { return preempted_; }
  bool out_of_tokens() const { return budget_ == 0; }
  bool out_of_pages() const { return out_of_pages_; }
  // Rows of the sequence's prompt planned since the start.
  int64_t prompt_rows(int64_t sequence) const;

 private:
  struct Sequence {
    int64_t id = 0;
    SequenceSpec spec;
    std::vector<TokenId> tokens;  // prompt and what was appended
    int known_length = 0;         // spec.prompt's
    int computed = 0;
    int run = -1;            // in the step under way
    bool runs = false;       // stands in running_
    bool held_back = false;  // must not generate a token in the step under way
    bool steps = false;      // counted as a token further
    int found = 0;           // blocks that the tree holds, while it waits
    int64_t prompt_rows = 0;
    BlockTable table;
    std::array<int32_t, kMaxPageClasses> ranks{};  // in the order of attention groups

    int size() const { return static_cast<int>(tokens.size()); }
    int remaining() const { return size() - computed; }
    // Positions that are expected to be computed beyond those known: the last token generated never is.
    int growth() const {
      const int left = spec.expected_tokens - (size() - known_length) - 1;
      return left >= 0 ? left : growth_beyond();
    }
    int growth_beyond() const;  // what was expected
  };

  Sequence& at(int64_t id) { return *sequences_.at(id); }
  int prefix_limit(const Sequence& s) const;
  bool may_fit(Sequence& candidate);
  bool adopt(Sequence& s);
  void start(Sequence& s);
  int common_tokens(const Sequence& s, const Sequence& other, int most) const;
  bool copy_beginning(Sequence& s);
  bool fits_windows(const Sequence* candidate) const;
  bool is_plenty() const;
  int64_t pages_unshared() const;
  bool fits(Sequence* candidate, int lead);
  bool fits_now(Sequence* candidate, int lead);
  void release_leaving();
  bool peak_fits(Sequence* candidate, std::span<Sequence* const> stepped, int lead);
  void hold_back();
  bool preempt_youngest_after(int64_t id);
  void preempt(Sequence& s);
  int reserve(Sequence& s, int wanted);
  int add_run(Sequence& s, int wanted);
  void plan_decodes();
  void plan_prefills();
  void admit();
  void plan_attention();

  SchedulerOptions options_;
  PageCache& cache_;
  int full_class_ = -1;  // the class without a window; -1: none
  int64_t next_id_ = 0;
  int64_t preemptions_ = 0;
  int budget_ = 0;
  bool out_of_pages_ = false;
  std::vector<int64_t> preempted_;
  std::unordered_map<int64_t, std::unique_ptr<Sequence>> sequences_;
  std::vector<Sequence*> running_;  // by age
  std::map<int64_t, Sequence*> waiting_;
  // Those that ended with the last step: the beginnings of their pages can be copied in the next.
  std::vector<std::unique_ptr<Sequence>> leaving_;
  Step step_;
  std::vector<Sequence*> run_sequences_;  // of step_.runs; null once removed

  // Memory that is used again from step to step.
  std::vector<Sequence*> batch_;
  std::vector<Sequence*> without_page_;
  std::vector<std::pair<int, FutureSequence>> by_growth_;
  std::vector<FutureSequence> future_;
  std::vector<RunPages> run_pages_;
  AttentionGrouper grouper_;
};

}  // namespace batchwright
