#include "base/durability.h"

#include <algorithm>
#include <set>
#include <utility>

#include "base/check.h"

namespace batchwright {
namespace {

// Which of a list of changes reached the disk. Independent choices alone would almost never give the states that are
// most common: nothing did, all did, all up to some point did.
class Survivors {
 public:
  Survivors(size_t changes, Choices& choices) : choices_(choices), pattern_(static_cast<Pattern>(choices.below(5))) {
    if (pattern_ == Pattern::kUpToOne) last_ = choices.below(changes + 1);
  }
  // To be asked once for each part of each change, in order; changes count from 0.
  bool has(size_t change) {
    switch (pattern_) {
      case Pattern::kNone:
        return false;
      case Pattern::kAll:
        return true;
      case Pattern::kUpToOne:
        return change < last_ || (change == last_ && choices_.coin());
      case Pattern::kWholeChanges:
        if (change != asked_) survives_ = choices_.coin();
        asked_ = change;
        return survives_;
      case Pattern::kParts:
        break;
    }
    return choices_.coin();
  }

 private:
  enum class Pattern { kNone, kAll, kUpToOne, kWholeChanges, kParts };

  Choices& choices_;
  Pattern pattern_;
  uint64_t last_ = 0;
  size_t asked_ = SIZE_MAX;
  bool survives_ = false;
};

void put(std::string& content, uint64_t offset, std::string_view data) {
  if (content.size() < offset + data.size()) content.resize(offset + data.size());
  content.replace(offset, data.size(), data);
}

}  // namespace

void FileHistory::append(std::string_view data) {
  if (data.empty()) return;
  changes_.push_back({content_.size(), std::string(data), Fate::kOpen});
  content_.append(data);
}

void FileHistory::truncate(uint64_t bytes) {
  BATCHWRIGHT_CHECK(bytes <= content_.size());
  if (bytes == content_.size()) return;
  changes_.push_back({bytes, "", Fate::kOpen});
  content_.resize(bytes);
}

void FileHistory::sync() {
  bool doubtful = false;
  for (Change& change : changes_) {
    if (change.fate == Fate::kOpen) change.fate = Fate::kSynced;
    doubtful = doubtful || change.fate == Fate::kDoubtful;
  }
  if (doubtful) return;
  synced_ = content_;
  changes_.clear();
}

void FileHistory::sync_failed() {
  for (Change& change : changes_) {
    if (change.fate == Fate::kOpen) change.fate = Fate::kDoubtful;
  }
}

void FileHistory::reopen() {
  for (Change& change : changes_) {
    if (change.fate == Fate::kDoubtful) change.fate = Fate::kOpen;
  }
}

std::string FileHistory::after_power_cut(Choices& choices) const {
  Survivors survivors(changes_.size(), choices);
  std::string content = synced_;
  uint64_t size_min = content.size();
  uint64_t size_max = content.size();
  bool cut_was_lost = false;
  for (size_t i = 0; i < changes_.size(); ++i) {
    const Change& change = changes_[i];
    const bool certain = change.fate == Fate::kSynced;
    if (change.is_truncation()) {
      cut_was_lost = !certain && !survivors.has(i);
      if (cut_was_lost) continue;
      content.resize(change.offset);
      size_min = size_max = change.offset;
      continue;
    }
    const uint64_t end = change.offset + change.data.size();
    size_max = std::max(size_max, end);
    if (certain) {
      size_min = std::max(size_min, end);
      put(content, change.offset, change.data);
      continue;
    }
    for (uint64_t begin = change.offset; begin < end;) {
      const uint64_t sector_end = begin / kSectorBytes * kSectorBytes + kSectorBytes;
      const uint64_t part_end = std::min(end, sector_end);
      if (survivors.has(i)) {
        put(content, begin, std::string_view(change.data).substr(begin - change.offset, part_end - begin));
        // The sector was written with zeros after the end that the file had then; old bytes show behind it.
        const uint64_t tail_end = std::min<uint64_t>(content.size(), sector_end);
        if (cut_was_lost && part_end < tail_end && choices.coin())
          put(content, part_end, std::string(tail_end - part_end, '\0'));
      }
      begin = part_end;
    }
  }
  // The size is kept apart from the data: it may be ahead of them, and lag behind.
  switch (choices.below(5)) {
    case 0:
      content.resize(size_max);
      break;
    case 1:
      content.resize(content.size() + choices.below(size_max - content.size() + 1));
      break;
    case 2:
      content.resize(size_min + choices.below(content.size() - size_min + 1));
      break;
    default:
      break;
  }
  return content;
}

std::shared_ptr<MemoryFile> FolderHistory::find(const std::string& name) const {
  const auto found = names_.find(name);
  return found == names_.end() ? nullptr : found->second;
}

void FolderHistory::apply(const Change& change, Names& names) {
  if (change.created != nullptr) {
    names[change.to] = change.created;
    return;
  }
  auto entry = names.extract(change.from);
  BATCHWRIGHT_CHECK(!entry.empty());
  if (!change.to.empty()) names[change.to] = std::move(entry.mapped());
}

void FolderHistory::record(Change change) {
  apply(change, names_);
  changes_.push_back(std::move(change));
}

void FolderHistory::create(const std::string& name, std::shared_ptr<MemoryFile> file) {
  BATCHWRIGHT_CHECK(file != nullptr && names_.count(name) == 0);
  record({"", name, std::move(file)});
}

void FolderHistory::rename(const std::string& from, const std::string& to) {
  if (from != to) record({from, to, nullptr});
}

void FolderHistory::remove(const std::string& name) { record({name, "", nullptr}); }

void FolderHistory::sync() {
  synced_ = names_;
  changes_.clear();
}

FolderHistory::Names FolderHistory::after_power_cut(Choices& choices) const {
  Survivors survivors(changes_.size(), choices);
  Names names = synced_;
  std::set<std::string> stuck;
  for (size_t i = 0; i < changes_.size(); ++i) {
    const Change& change = changes_[i];
    if (stuck.count(change.from) == 0 && stuck.count(change.to) == 0 && survivors.has(i)) {
      apply(change, names);
      continue;
    }
    for (const std::string& name : {change.from, change.to}) {
      if (!name.empty()) stuck.insert(name);
    }
  }
  return names;
}

}  // namespace batchwright
