"""The significance level and the margin, and why these."""

# The level of every test and, as 95 %, of every interval. The usual one:
# one claim in twenty about equal networks is wrong, and what is asked
# several times is corrected for (``holm``).
SIGNIFICANCE = 0.05
# The loss of accuracy (a share) that a user would not mind: half a point.
# It is a convention, chosen before anything was measured. It is stricter
# than the usual demand on benchmarks, 99 % of the float accuracy, and still
# large enough for ten thousand images to exclude it.
MARGIN = 0.005
