"""The significance level and the margin, and why these."""

# The level of every test and, as 95 %, of every interval. The usual one: of
# claims about equal networks, one in twenty is wrong; ``holm`` corrects for
# several questions.
SIGNIFICANCE = 0.05
# The loss of accuracy (a share) that a user would not mind: half a point.
# It is a convention. It is stricter than the usual demand on benchmarks, 99 %
# of the float accuracy, wherever more than half of the images are right. Ten
# thousand images can exclude it if few predictions change.
MARGIN = 0.005
