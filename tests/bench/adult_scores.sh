#!/bin/sh
# A fixed linear score of the Adult census records, for bench-query --accept: "logit class" a line.
#   adult_scores.sh FILE.gz [balanced]     balanced: the first 5,000 of each class
# The weights were written down by hand; nothing is fitted.
set -eu

gzip -dc "$1" | awk -F', *' -v balanced="${2:-}" '
    NF < 15 { next }
    {
        positive = ($15 ~ /^>50K/) ? 1 : 0
        if (balanced != "" && ++seen[positive] > 5000)
            next
        score = -2.4 + 0.3 * ($5 - 10) + 0.03 * ($1 - 38) + 0.03 * ($13 - 40)
        score += ($6 ~ /^Married-civ/) ? 1.6 : -0.6
        score += ($11 > 5000) ? 3 : 0
        printf "%.6f %d\n", score, positive
    }'
