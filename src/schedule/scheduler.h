// Continuous batching: which tokens of which sequences make the next step.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "batchwright/request.h"
#include "cache/page_cache.h"
#include "step/step.h"

namespace batchwright {

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
};

// A step holds decode tokens first, then prefill chunks in order of age, under one token budget (Sarathi-Serve, Agrawal
// et al. 2024). Sequences are admitted while pages for their prompts are there; where pages run out later, the youngest
// sequence gives up its own and is computed again - which by the arithmetic's rules gives the same bits. The oldest
// always goes on, so every sequence ends, provided that one alone fits.
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

  // From the next step on; no less than max_batch, and no more than at the beginning.
  void set_max_batch_tokens(int tokens);

  // Plans the next step; it stays valid until the next call. Without rows where there is nothing to do.
  const Step& plan();

  // The planned step has been computed.
  void commit();

  int running() const { return static_cast<int>(running_.size()); }
  int waiting() const { return static_cast<int>(waiting_.size()); }
  int64_t preemptions() const { return preemptions_; }
  // Of the step planned last.
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
    int planned = 0;  // rows in the step under way
    int64_t prompt_rows = 0;
    BlockTable table;

    int remaining() const { return static_cast<int>(tokens.size()) - computed; }
  };
  using Queue = std::map<int64_t, std::unique_ptr<Sequence>>;

  bool waits_for_prefix(Sequence& s);
  bool fits(const Sequence& s) const;
  bool preempt_youngest_after(int64_t id);
  void preempt(Queue::iterator it);
  int add_run(Sequence& s, int wanted);
  void plan_decodes();
  void plan_prefills();
  void plan_attention();

  SchedulerOptions options_;
  PageCache& cache_;
  int64_t next_id_ = 0;
  int64_t preemptions_ = 0;
  int budget_ = 0;
  bool out_of_pages_ = false;
  Queue running_;
  Queue waiting_;
  Step step_;
};

}  // namespace batchwright
