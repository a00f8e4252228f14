// Continuous batching: which tokens of which sequences make the next step.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
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
  // Request::expected_beyond. With expected_tokens of 0 nothing is ever expected.
  std::function<int(int generated)> expected_beyond;
  // That can be generated at most, and more than that is never expected of who outlives what was. With fewer than
  // expected_tokens: any token more may be the last.
  int most_tokens = 0;
};

// A step holds decode tokens first, then prefill chunks in order of age, under one token budget (Sarathi-Serve, Agrawal
// et al. 2024). Sequences are admitted in order of age while the peak of what all that run will hold fits into memory
// (schedule/future_memory.h); pages that are awaited by sequences still to come count as taken. Where sequences drift
// apart - a long prompt takes many steps -, those with the most before them pause, their pages kept, until the others
// can end for certain. So nobody gives up a page as long as nobody generates more than expected. Where pages run out
// all the same, those that need one wait until others end; and where that would be most of those that decode, the
// youngest sequence gives up its own and is computed again - which by the arithmetic's rules gives the same bits.
//
// Every sequence ends, provided that one alone fits, and none starves. The oldest is the least id that has not ended.
// (1) Who gave up its pages is admitted again before all that are younger, and the oldest never gives up its own: it
// computes no position twice. (2) Of the steps in which the oldest does not go on - it waits for memory, or for another
// that computes their common beginning - a debt is kept, of which each step in which it does takes one off; with a debt
// of kPatience or more nobody but the oldest is admitted. In every step somebody goes on; so, with nobody admitted, the
// oldest is passed over at most until those that run with it have ended: some of them may give up their pages, but they
// do not come back before. Hence, from the time when a sequence is added, it ends within
//
//     2 * alone + kPatience + others    steps,
//
// where `alone` are the steps of it and of all older ones that have not ended, one after the other - each at most as
// many as it has positions, mostly far fewer, since prompts go in chunks -, and `others` are the positions of those
// younger ones that run at once, at most max_batch - 1. Proof: of the steps until it ends those in which the oldest
// went on are no more than `alone`; the others exceed these by no more than the debt at the end; and from kPatience on
// the debt has grown by no more than `others`. This does not hold with prefill_first, where prompts go before all.
//
// Of a page that begins like another running sequence's the beginning is copied, so that nothing but what a sequence
// has alone is computed for it, wherever pages end.
//
// A sequence's output never depends on what this class decides. Not thread-safe.
class Scheduler {
 public:
  static constexpr int64_t kPatience = 64;

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
    int expected = 0;             // tokens that are expected to be generated by now
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
    int generated() const { return size() - known_length; }
    // Positions that are expected to be computed beyond those known: the last token generated never is.
    int growth() const { return std::max(0, expected - generated() - 1); }
    void expect_more();
  };

  Sequence& at(int64_t id) { return *sequences_.at(id); }
  int prefix_limit(const Sequence& s) const;
  bool may_fit(Sequence& candidate);
  bool adopt(Sequence& s);
  void start(Sequence& s);
  int common_tokens(const Sequence& s, const Sequence& other, int most) const;
  bool copy_beginning(Sequence& s);
  int most_blocks(int page_class) const;
  int64_t chunk_pages(const Sequence* candidate, int page_class) const;
  bool is_plenty(const Sequence* candidate) const;
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
  const Sequence* oldest() const;
  void count_debt();
  void plan_attention();

  SchedulerOptions options_;
  PageCache& cache_;
  int full_class_ = -1;  // the class without a window; -1: none
  int64_t next_id_ = 0;
  int64_t preemptions_ = 0;
  int budget_ = 0;
  bool out_of_pages_ = false;
  int64_t debt_ = 0;  // steps that the oldest is owed
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
