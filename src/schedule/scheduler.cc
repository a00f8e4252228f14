#include "schedule/scheduler.h"

#include <algorithm>
#include <span>
#include <utility>

#include "base/check.h"

namespace batchwright {
Scheduler::Scheduler(const SchedulerOptions& options, PageCache& cache) : options_(options), cache_(cache) {
  options_.max_batch_tokens = std::max(options_.max_batch_tokens, options_.max_batch);
  step_.classes.resize(static_cast<size_t>(cache.classes()));
  for (int c = 0; c < cache.classes(); ++c) {
    if (cache.spec(c).window == 0) full_class_ = c;
  }
}

// Where it has outlived what was expected.
void Scheduler::Sequence::expect_more() {
  if (expected <= 0 || expected > generated()) return;
  int64_t more = spec.expected_beyond ? spec.expected_beyond(generated()) : 0;
  if (more <= generated()) {
    more = expected;
    while (more <= generated()) more *= 2;
  }
  expected = static_cast<int>(std::clamp<int64_t>(more, expected, std::max(expected, spec.most_tokens)));
}

int64_t Scheduler::add(SequenceSpec spec) {
  BATCHWRIGHT_CHECK(!spec.prompt.empty());
  auto s = std::make_unique<Sequence>();
  s->id = next_id_++;
  s->tokens = std::move(spec.prompt);
  s->known_length = s->size();
  s->spec = std::move(spec);
  s->expected = s->spec.expected_tokens;
  s->ranks.fill(RunPages::kLast);
  const int64_t id = s->id;
  const int reused = s->spec.reused_tokens;
  waiting_.emplace(id, s.get());
  sequences_.emplace(id, std::move(s));
  set_reused_tokens(id, reused);
  return id;
}

void Scheduler::set_reused_tokens(int64_t sequence, int tokens) {
  Sequence& s = at(sequence);
  BATCHWRIGHT_CHECK(!s.runs && s.table.blocks() == 0);
  s.table = BlockTable(tokens < 0 ? -1 : std::min(tokens, s.known_length) / kPagePositions, s.id);
}

void Scheduler::remove(int64_t sequence) {
  const auto it = sequences_.find(sequence);
  if (it == sequences_.end()) return;
  Sequence& s = *it->second;
  const bool is_done = s.runs && s.run < 0;
  if (s.run >= 0) run_sequences_[static_cast<size_t>(s.run)] = nullptr;
  if (s.runs) {
    running_.erase(std::find(running_.begin(), running_.end(), &s));
  } else {
    waiting_.erase(sequence);
  }
  if (is_done && options_.share_prefixes) {
    leaving_.push_back(std::move(it->second));
  } else {
    cache_.release(s.table);
  }
  sequences_.erase(it);
  if (sequences_.empty()) release_leaving();
}

void Scheduler::release_leaving() {
  for (const auto& s : leaving_) cache_.release(s->table);
  leaving_.clear();
}

void Scheduler::append(int64_t sequence, std::span<const TokenId> tokens) {
  BATCHWRIGHT_CHECK(!tokens.empty());
  Sequence& s = at(sequence);
  BATCHWRIGHT_CHECK(s.runs);
  s.tokens.insert(s.tokens.end(), tokens.begin(), tokens.end());
  s.expect_more();
}

void Scheduler::set_full_logits(int64_t sequence, bool full) { at(sequence).spec.full_logits = full; }

int64_t Scheduler::prompt_rows(int64_t sequence) const {
  const auto it = sequences_.find(sequence);
  return it == sequences_.end() ? 0 : it->second->prompt_rows;
}

void Scheduler::set_max_batch_tokens(int tokens) { options_.max_batch_tokens = std::max(tokens, options_.max_batch); }

const Step& Scheduler::plan() {
  step_.clear();
  run_sequences_.clear();
  budget_ = options_.max_batch_tokens;
  out_of_pages_ = false;
  preempted_.clear();
  for (Sequence* s : running_) s->run = -1;
  for (Sequence* s : running_) s->held_back = false;
  if (!is_plenty(nullptr)) {
    release_leaving();
    hold_back();
  }
  if (options_.prefill_first) {
    plan_prefills();
    admit();
    if (step_.runs.empty()) plan_decodes();
  } else {
    plan_decodes();
    plan_prefills();
    admit();
  }
  release_leaving();
  plan_attention();
  count_debt();
  return step_;
}

const Scheduler::Sequence* Scheduler::oldest() const {
  if (running_.empty()) return waiting_.empty() ? nullptr : waiting_.begin()->second;
  if (waiting_.empty() || running_.front()->id < waiting_.begin()->first) return running_.front();
  return waiting_.begin()->second;
}

void Scheduler::count_debt() {
  const Sequence* const first = oldest();
  if (first == nullptr) return;
  debt_ = first->runs && first->run >= 0 ? std::max<int64_t>(0, debt_ - 1) : debt_ + 1;
}

// Memory

int Scheduler::most_blocks(int page_class) const {
  const int window = cache_.spec(page_class).window;
  return window == 0 ? kAllBlocks : blocks_for(window) + 1;
}

// Between steps a sequence holds a window's pages; while a chunk of a long prompt is computed it needs those of the
// chunk besides, all together no more than a step's rows.
int64_t Scheduler::chunk_pages(const Sequence* candidate, int page_class) const {
  const int most = most_blocks(page_class);
  int64_t pages = 0;
  const auto count = [&](const Sequence& s) {
    if (s.remaining() > 1) pages += std::max(0, blocks_for(s.size()) - most);
  };
  for (const Sequence* s : running_) count(*s);
  if (candidate != nullptr) count(*candidate);
  return std::min<int64_t>(pages, blocks_for(options_.max_batch_tokens));
}

// Whether there is room for all that run to have all their pages alone at once, those that left keeping theirs: then
// nothing has to be counted closely.
bool Scheduler::is_plenty(const Sequence* candidate) const {
  for (int c = 0; c < cache_.classes(); ++c) {
    const int most = most_blocks(c);
    int64_t pages = chunk_pages(candidate, c) + (c == full_class_ ? cache_.awaited() : 0);
    const auto count = [&](const Sequence& s) { pages += std::min(blocks_for(s.size() + s.growth()), most); };
    for (const Sequence* s : running_) count(*s);
    if (candidate != nullptr) count(*candidate);
    for (const auto& s : leaving_) pages += std::min(s->table.blocks(), most);
    if (pages > cache_.spec(c).pages) return false;
  }
  return true;
}

// Whether those that run, the candidate among them, will end within memory.
bool Scheduler::fits(Sequence* candidate, int lead) {
  if (fits_now(candidate, lead)) return true;
  if (leaving_.empty()) return false;
  release_leaving();
  return fits_now(candidate, lead);
}

bool Scheduler::fits_now(Sequence* candidate, int lead) {
  return is_plenty(candidate) || peak_fits(candidate, {}, lead);
}

// The same once those of `stepped` have generated a token.
bool Scheduler::peak_fits(Sequence* candidate, std::span<Sequence* const> stepped, int lead) {
  for (Sequence* s : stepped) s->steps = true;
  // Pages that outlive their sequences are shared: counted once.
  int64_t kept_pages = full_class_ < 0 ? 0 : cache_.held(full_class_) + cache_.awaited();
  by_growth_.clear();
  const auto count = [&](Sequence& s) {
    // What a candidate has not taken yet it finds with others, which hold it already.
    const bool looks = !s.runs && s.table.blocks() == 0;
    const int stays = std::min(cache_.kept_blocks(s.table), blocks_for(s.size()));
    const int kept = looks ? std::max(s.found, stays) : stays;
    kept_pages += kept - (looks ? s.found : s.table.blocks());
    const int growth = s.growth() - (s.steps ? 1 : 0);
    if (growth >= 0) by_growth_.push_back({-growth, {s.size() + (s.steps ? 1 : 0), growth, kept}});
  };
  for (Sequence* s : running_) count(*s);
  if (candidate != nullptr) count(*candidate);
  for (Sequence* s : stepped) s->steps = false;
  std::sort(by_growth_.begin(), by_growth_.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  future_.clear();
  for (const auto& [key, sequence] : by_growth_) future_.push_back(sequence);
  if (full_class_ >= 0 && kept_pages + future_peak_pages(future_, lead) > cache_.spec(full_class_).pages) return false;
  // Windows move on: each sequence counts with all its pages of them, shared or not.
  for (FutureSequence& s : future_) s.kept = 0;
  for (int c = 0; c < cache_.classes(); ++c) {
    if (c == full_class_) continue;
    const int64_t peak = future_peak_pages(future_, lead, most_blocks(c));
    if (chunk_pages(candidate, c) + peak > cache_.spec(c).pages) return false;
  }
  return true;
}

// Where not all that run may go on together and still end for certain, those with the least before them do.
void Scheduler::hold_back() {
  if (fits(nullptr, 1)) return;
  batch_.clear();
  for (Sequence* s : running_) {
    if (s->remaining() == 1) batch_.push_back(s);
  }
  // Nothing is certain any more: some generated more than was expected.
  if (!peak_fits(nullptr, {}, 0)) return;
  std::stable_sort(batch_.begin(), batch_.end(),
                   [](const Sequence* a, const Sequence* b) { return a->growth() < b->growth(); });
  size_t safe = 0;
  size_t end = batch_.size();
  while (safe < end) {
    const size_t middle = (safe + end + 1) / 2;
    if (peak_fits(nullptr, std::span(batch_).first(middle), 0)) {
      safe = middle;
    } else {
      end = middle - 1;
    }
  }
  // One can always go on; where none of these can it is one that has not come to its last token.
  if (safe == 0 && batch_.size() == running_.size()) safe = 1;
  for (Sequence* s : running_) s->held_back = true;
  for (Sequence* s : std::span(batch_).first(safe)) s->held_back = false;
}

bool Scheduler::preempt_youngest_after(int64_t id) {
  for (size_t i = running_.size(); i-- > 0 && running_[i]->id > id;) {
    if (running_[i]->run >= 0) continue;
    preempt(*running_[i]);
    return true;
  }
  return false;
}

void Scheduler::preempt(Sequence& s) {
  cache_.suspend(s.table);
  s.computed = 0;
  s.runs = false;
  ++preemptions_;
  preempted_.push_back(s.id);
  running_.erase(std::find(running_.begin(), running_.end(), &s));
  waiting_.emplace(s.id, &s);
}

// Runs

void Scheduler::plan_decodes() {
  batch_.clear();
  for (Sequence* s : running_) {
    if (s->remaining() == 1 && !s->held_back) batch_.push_back(s);
  }
  without_page_.clear();
  for (Sequence* s : batch_) {
    if (add_run(*s, 1) == 0) without_page_.push_back(s);
  }
  if (without_page_.empty()) return;
  out_of_pages_ = true;
  // Mostly somebody ends before long, and to compute a sequence again costs more than the steps that it loses.
  if (2 * without_page_.size() <= batch_.size()) return;
  for (Sequence* s : without_page_) {
    if (!s->runs) continue;  // given up for an older one
    while (reserve(*s, 1) == 0 && preempt_youngest_after(s->id)) {
    }
    if (add_run(*s, 1) == 0 && running_.size() > 1 && s != oldest()) preempt(*s);
  }
}

void Scheduler::plan_prefills() {
  batch_.clear();
  for (Sequence* s : running_) {
    if (s->remaining() > 1 && s->run < 0) batch_.push_back(s);
  }
  for (Sequence* s : batch_) {
    if (!s->runs) continue;
    if (budget_ == 0) return;
    const bool waits = adopt(*s);
    start(*s);
    if (waits || (!s->held_back && copy_beginning(*s))) continue;
    const int wanted = s->remaining() - (s->held_back ? 1 : 0);
    if (wanted == 0) continue;
    // A chunk takes what is there. Only where nobody else goes on either the youngest has to give way.
    while (reserve(*s, wanted) == 0 && step_.runs.empty() && preempt_youngest_after(s->id)) {
    }
    add_run(*s, wanted);
  }
}

void Scheduler::admit() {
  while (!waiting_.empty() && running() < options_.max_batch && budget_ > 0) {
    Sequence& s = *waiting_.begin()->second;
    const bool is_owed = debt_ >= kPatience && !options_.prefill_first && &s != oldest();
    if (!running_.empty() && (is_owed || !may_fit(s))) {
      out_of_pages_ = true;
      return;
    }
    const bool waits = adopt(s);
    s.found = s.table.blocks();
    if (!fits(&s, 1)) {
      if (!running_.empty()) {
        // What was adopted would only block others' pages.
        cache_.release(s.table);
        s.computed = 0;
        out_of_pages_ = true;
        return;
      }
      // Whoever is next in order has no use for what is awaited, so nobody has.
      cache_.give_up_awaited();
    }
    waiting_.erase(waiting_.begin());
    s.runs = true;
    s.run = -1;
    s.held_back = false;
    running_.insert(std::upper_bound(running_.begin(), running_.end(), &s,
                                     [](const Sequence* a, const Sequence* b) { return a->id < b->id; }),
                    &s);
    start(s);
    if (!waits && !copy_beginning(s)) add_run(s, s.remaining());
  }
}

// Whole blocks that may come from others. Positions whose logits are wanted are always computed: the last known one
// among them.
int Scheduler::prefix_limit(const Sequence& s) const {
  const int last = s.size() - 1;
  const int from = s.spec.prompt_logits_from;
  return (from < 0 ? last : std::min(last, from)) / kPagePositions;
}

// False where the candidate cannot fit even if all that it finds in the tree costs nothing: found out without taking
// it.
bool Scheduler::may_fit(Sequence& candidate) {
  candidate.found =
      options_.share_prefixes ? cache_.adoptable(candidate.table, candidate.tokens, prefix_limit(candidate)) : 0;
  return fits(&candidate, 1);
}

// Takes what the tree holds of the sequence's tokens; true where it has to wait for more.
bool Scheduler::adopt(Sequence& s) {
  if (!options_.share_prefixes || s.computed % kPagePositions != 0) return false;
  const bool waits = cache_.adopt(s.table, s.tokens, prefix_limit(s)) == PageCache::Prefix::kWait;
  s.computed = std::max(s.computed, s.table.published() * kPagePositions);
  return waits;
}

void Scheduler::start(Sequence& s) {
  if (options_.share_prefixes && s.computed % kPagePositions == 0) cache_.claim(s.table, s.tokens, prefix_limit(s));
}

// With which the next block of `s` begins as the same block of `other` does, under the same blocks.
int Scheduler::common_tokens(const Sequence& s, const Sequence& other, int most) const {
  const int block = s.computed / kPagePositions;
  if (&other == &s || other.size() <= s.computed || other.table.blocks() <= block) return 0;
  // A page that both hold has one and the same text up to its end.
  if (block > 0 &&
      (other.table.page(0, block - 1) != s.table.page(0, block - 1) || s.table.page(0, block - 1) == kNoPage)) {
    return 0;
  }
  for (int c = 0; c < cache_.classes(); ++c) {
    if (other.table.page(c, block) == kNoPage) return 0;
  }
  const auto begin = s.tokens.begin() + s.computed;
  const auto end = begin + std::min(most, other.size() - s.computed);
  return static_cast<int>(std::mismatch(begin, end, other.tokens.begin() + s.computed).first - begin);
}

// At the beginning of a block, for a sequence that gets a run in this step. True where it has to wait: another is about
// to compute what it could copy.
bool Scheduler::copy_beginning(Sequence& s) {
  if (!options_.share_prefixes || s.computed % kPagePositions != 0) return false;
  const int from = s.spec.prompt_logits_from;
  const int last = from < 0 ? s.size() - 1 : std::min(s.size() - 1, from);
  const int most = std::min(last - s.computed, kPagePositions - 1);
  if (most < kCopiedMin) return false;
  const Sequence* source = nullptr;
  int positions = 0;
  int coming = 0;
  const auto look_at = [&](const Sequence& other) {
    const int common = common_tokens(s, other, most);
    if (common < kCopiedMin) return;
    const int computed = std::min(common, other.computed - s.computed);
    if (computed > positions) {
      positions = computed;
      source = &other;
    }
    const int planned = other.run < 0 ? 0 : step_.runs[static_cast<size_t>(other.run)].count;
    coming = std::max(coming, std::min(common, other.computed + planned - s.computed));
  };
  for (const Sequence* other : running_) look_at(*other);
  for (const auto& other : leaving_) look_at(*other);
  // Who waits lets others go before it, which plans of scarce memory do not reckon with.
  if (coming >= positions + kCopiedMin && is_plenty(nullptr)) return true;
  const int block = s.computed / kPagePositions;
  if (positions < kCopiedMin || cache_.reserve(s.table, block + 1) <= block) return false;
  for (int c = 0; c < cache_.classes(); ++c) {
    step_.classes[static_cast<size_t>(c)].copies.push_back(
        {source->table.page(c, block), s.table.page(c, block), positions});
  }
  s.computed += positions;
  return false;
}

// Pages for the next `wanted` positions; returns for how many there are some.
int Scheduler::reserve(Sequence& s, int wanted) {
  wanted = std::min(wanted, budget_);
  const int needed = blocks_for(s.computed + wanted);
  int blocks = cache_.reserve(s.table, needed);
  if (blocks < needed && !leaving_.empty()) {
    release_leaving();
    blocks = cache_.reserve(s.table, needed);
  }
  return std::min(wanted, blocks * kPagePositions - s.computed);
}

int Scheduler::add_run(Sequence& s, int wanted) {
  const int count = reserve(s, wanted);
  if (count <= 0) return 0;
  s.run = static_cast<int>(step_.runs.size());
  run_sequences_.push_back(&s);
  step_.runs.push_back({s.id, s.computed, step_.rows(), count});
  for (int i = 0; i < count; ++i) {
    const int position = s.computed + i;
    const bool last = position + 1 == s.size();
    const int from = s.spec.prompt_logits_from;
    const bool scored = from >= 0 && position >= from && position < s.known_length;
    // The prompt's end leads to a new token: not a second time, where it is computed again.
    if (last || (scored && position + 1 < s.known_length))
      step_.logits.push_back({step_.rows(), s.id, s.spec.full_logits || scored});
    step_.tokens.push_back(s.tokens[static_cast<size_t>(position)]);
    step_.positions.push_back(position);
    for (int c = 0; c < cache_.classes(); ++c) {
      step_.classes[static_cast<size_t>(c)].write_pages.push_back(s.table.page(c, position / kPagePositions));
    }
    if (position < s.known_length - s.spec.answer_tokens) ++s.prompt_rows;
  }
  budget_ -= count;
  return count;
}

void Scheduler::plan_attention() {
  for (int c = 0; c < cache_.classes(); ++c) {
    const auto k = static_cast<size_t>(c);
    const int window = cache_.spec(c).window;
    run_pages_.clear();
    for (size_t i = 0; i < step_.runs.size(); ++i) {
      const Run& run = step_.runs[i];
      const int first_visible = window == 0 ? 0 : std::max(0, run.first_position - window + 1);
      const auto first_block = static_cast<size_t>(first_visible / kPagePositions);
      const auto end_block = static_cast<size_t>((run.first_position + run.count - 1) / kPagePositions) + 1;
      const Sequence& s = *run_sequences_[i];
      run_pages_.push_back({run.first_row, run.count, static_cast<int>(first_block),
                            s.table.pages(c).subspan(first_block, end_block - first_block), s.ranks[k]});
    }
    grouper_.group(run_pages_, step_.classes[k].levels);
    for (size_t i = 0; i < run_pages_.size(); ++i) run_sequences_[i]->ranks[k] = run_pages_[i].rank;
  }
}

void Scheduler::commit() {
  for (size_t i = 0; i < step_.runs.size(); ++i) {
    if (run_sequences_[i] == nullptr) continue;
    Sequence& s = *run_sequences_[i];
    s.computed += step_.runs[i].count;
    s.run = -1;
    if (options_.share_prefixes) cache_.publish(s.table, s.tokens, s.computed);
    cache_.leave_window(s.table, s.computed);
  }
  run_sequences_.clear();
}

}  // namespace batchwright
