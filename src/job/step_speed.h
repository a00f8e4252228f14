// What steps turn out to cost, by their tokens of prompts and of answers.
#pragma once

#include "schedule/cost_model.h"

namespace batchwright {

struct StepTokens {
  double prompt = 0;
  double decode = 0;
  double decode_full = 0;      // of these, where whole logits are wanted
  double decode_own = 0;       // positions whose pages an answer reads alone: all but those computed for other rows
  double prompt_position = 0;  // means, as the one before
  double prompt_span = 0;      // over which positions the tokens of a prompt are spread
  double decode_position = 0;

  double all() const { return prompt + decode; }
};

// In the proportions of the cost model where there is one, otherwise a fixed part and the tokens. Measured steps make
// seconds of it: the parts of prompts and of answers have a factor each, which a Kalman filter follows (Kalman 1960);
// so a step of both kinds tells of both, one of a kind of the other as far as they differ alike - when the machine as a
// whole is slower -, and what was seen of a kind long ago is not forgotten meanwhile. Not thread-safe.
class StepSpeed {
 public:
  // Null: none. Valid until the next call.
  void set_model(const CostModel* model);
  void record(const StepTokens& step, double seconds);
  double seconds(const StepTokens& step) const;

 private:
  struct Parts {
    double prompt = 0;
    double decode = 0;
  };

  double shape(const StepTokens& step) const;
  Parts parts(const StepTokens& step) const;
  void begin(double factor, double common, double own);
  void let_pass(double seconds);

  const CostModel* model_ = nullptr;
  bool knows_ = false;
  double recorded_ = 0;  // seconds
  Parts factor_;         // and the covariance of the two:
  double prompt_variance_ = 0;
  double decode_variance_ = 0;
  double covariance_ = 0;
};

}  // namespace batchwright
