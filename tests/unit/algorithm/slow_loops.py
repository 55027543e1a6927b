"""The algorithm as slow obvious loops over plain numbers, to compare with."""

import math
import statistics


def slow_normalize(scores, groups, mask, min_group_valid, min_std, eps):
    result = [0.0] * len(scores)
    for group in set(groups):
        rows = [i for i in range(len(scores)) if groups[i] == group and mask[i]]
        values = [scores[i] for i in rows]
        if len(values) < min_group_valid or len(set(values)) == 1:
            continue
        mean, std = statistics.fmean(values), statistics.stdev(values)
        for i in rows:
            result[i] = (scores[i] - mean) / (max(std, min_std) + eps)
    return result


def slow_zero_variance(scores, groups, mask, min_group_valid):
    counted = constant = 0
    for group in set(groups):
        values = [scores[i] for i in range(len(scores)) if groups[i] == group and mask[i]]
        if len(values) >= min_group_valid:
            counted += 1
            constant += len(set(values)) == 1
    return constant / counted if counted else None


def slow_advantage(batch, multipliers, mask_mode, whiten):
    # FGRPO Eq. 6 rollout by rollout and token by token.
    rows = range(len(batch["task"]))
    valid, tokens = batch["valid"], batch["tokens"]
    combined = [0.0] * len(rows)
    for name, weight in {"task": 1.0, **multipliers}.items():
        mask = [valid[i] and (name == "task" or batch["masks"][name][i]) for i in rows]
        scores = batch["task"] if name == "task" else batch["signals"][name]
        if mask_mode == "zero_fill":
            scores = [scores[i] if mask[i] else 0.0 for i in rows]
            mask = valid
        for i, z in enumerate(slow_normalize(scores, batch["groups"], mask, 2, 0.0, 1e-6)):
            combined[i] += weight * z
    if whiten == "token":
        population = [combined[i] for i in rows if valid[i] for token in tokens[i] if token]
    elif whiten == "rollout":
        population = [combined[i] for i in rows if valid[i]]
    else:
        population = None
    if population is not None:
        if len(population) < 2:
            combined = [0.0] * len(rows)
        else:
            mean = math.fsum(population) / len(population)
            variance = math.fsum((x - mean) ** 2 for x in population) / (len(population) - 1)
            combined = [(x - mean) / math.sqrt(variance + 1e-8) for x in combined]
    return [[combined[i] if valid[i] and token else 0.0 for token in tokens[i]] for i in rows]
