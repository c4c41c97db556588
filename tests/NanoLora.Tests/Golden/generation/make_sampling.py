"""Writes sampling.json: what the logits processors of transformers make of rows of logits, in the order in which its generate() applies them.

    python3 make_sampling.py > sampling.json        # with torch and transformers

Every case has settings, the text so far, the logits (base64 of little-endian float32) and, after all processors, the ids whose score is not -inf with their scores.
Rows where rounding could decide what is kept (a cumulative probability within 1e-5 of its bound) are drawn again."""
import base64, json, sys
import torch
import transformers
from transformers import GenerationConfig
from transformers.generation.logits_process import (
    LogitsProcessorList, MinNewTokensLengthLogitsProcessor, MinPLogitsWarper, NoRepeatNGramLogitsProcessor,
    RepetitionPenaltyLogitsProcessor, TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper)


def processors(s, prompt):
    y = LogitsProcessorList()
    if s.get("repetition_penalty", 1.0) != 1.0: y.append(RepetitionPenaltyLogitsProcessor(s["repetition_penalty"]))
    if s.get("no_repeat_ngram", 0) > 0: y.append(NoRepeatNGramLogitsProcessor(s["no_repeat_ngram"]))
    if s.get("min_tokens", 0) > 0: y.append(MinNewTokensLengthLogitsProcessor(prompt, s["min_tokens"], torch.tensor(s["stop"])))
    if s.get("temperature", 1.0) != 1.0: y.append(TemperatureLogitsWarper(s["temperature"]))
    if s.get("top_k", 0) > 0: y.append(TopKLogitsWarper(s["top_k"]))
    if s.get("top_p", 1.0) < 1.0: y.append(TopPLogitsWarper(s["top_p"]))
    if s.get("min_p", 0.0) > 0: y.append(MinPLogitsWarper(s["min_p"]))
    return y


def near(scores, s):
    """Whether another rounding could keep other tokens."""
    x = scores.double()
    if s.get("temperature", 1.0) != 1.0: x = x / s["temperature"]
    if s.get("top_k", 0) > 0: x = TopKLogitsWarper(s["top_k"])(None, x)
    if s.get("top_p", 1.0) < 1.0:
        p = x.sort().values.softmax(-1).cumsum(-1)
        if (p - (1 - s["top_p"])).abs().min() < 1e-5: return True
        x = TopPLogitsWarper(s["top_p"])(None, x)
    if s.get("min_p", 0.0) > 0:
        p = x.softmax(-1)
        if (p / p.max() - s["min_p"]).abs().min() < 1e-5: return True
    return False


def main():
    random = torch.Generator().manual_seed(20)
    settings = [
        {}, {"temperature": 0.7}, {"temperature": 1.9}, {"top_k": 1}, {"top_k": 12}, {"top_k": 5000}, {"top_p": 0.9}, {"top_p": 0.05}, {"top_p": 0.999},
        {"min_p": 0.05}, {"min_p": 0.5}, {"repetition_penalty": 1.3}, {"repetition_penalty": 0.8}, {"no_repeat_ngram": 1}, {"no_repeat_ngram": 2},
        {"no_repeat_ngram": 3}, {"min_tokens": 30, "stop": [3, 7]}, {"min_tokens": 4, "stop": [3, 7]},
        {"temperature": 0.8, "top_k": 40, "top_p": 0.95}, {"temperature": 1.5, "top_p": 0.8, "min_p": 0.1},
        {"temperature": 1.2, "top_k": 20, "top_p": 0.7, "min_p": 0.02, "repetition_penalty": 1.15, "no_repeat_ngram": 2, "min_tokens": 20, "stop": [5]},
        {"temperature": 0.3, "top_k": 7, "repetition_penalty": 2.0}, {"top_k": 30, "min_p": 0.2}, {"temperature": 3.0, "top_p": 0.5},
    ]
    cases = []
    for s in settings:
        for size, spread, steps in ((61, 2.0, 0), (512, 3.0, 0), (61, 2.0, 4), (1500, 1.0, 0)):
            while True:
                logits = torch.randn((1, size), generator=random) * spread
                if steps: logits = (logits * steps).round() / steps                     # many equals
                prompt, more = 9, 6
                text = torch.randint(0, min(size, 24), (1, prompt + more), generator=random)
                list_ = processors(s, prompt)
                cut = sum(isinstance(p, (RepetitionPenaltyLogitsProcessor, NoRepeatNGramLogitsProcessor, MinNewTokensLengthLogitsProcessor)) for p in list_)
                before = LogitsProcessorList(list_[:cut])(text, logits.clone())
                # Among equals at the bound of top_p the reference keeps those that its sort happens to put last.
                if not near(before, s) and not (steps and s.get("top_p", 1.0) < 1): break
                if steps and s.get("top_p", 1.0) < 1: steps = 0
            scores = list_(text, logits.clone())[0]
            kept = torch.nonzero(scores > -torch.inf)[:, 0].tolist()
            cases.append({
                "settings": s, "prompt": text[0, :prompt].tolist(), "added": text[0, prompt:].tolist(),
                "logits": base64.b64encode(logits[0].numpy().astype("<f4").tobytes()).decode(),
                "kept": kept, "scores": base64.b64encode(scores[kept].numpy().astype("<f4").tobytes()).decode(),
            })
    json.dump({"versions": {"torch": torch.__version__, "transformers": transformers.__version__}, "cases": cases}, sys.stdout, separators=(",", ":"))


main()
