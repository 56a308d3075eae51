"""The rules that decide claims: a kind of rule is one class, with its schema, its evaluation and
its words.

A new kind is one more class in one of these files; `claims.yaml` can name it at once.

How the verdicts on runs are reached:

* Errors are those that are there. On the full dataset the paper and we evaluate the same cells, so
  only seeds differ. On other cells the sampling errors of both are added. A spread over seeds that
  is not known is not zero: such a comparison is *not resolved*.
* Few blood draws allow no interval (`metrics.FEWEST_DRAWS`). There a reported score is compared
  with the tested cells alone, by Wilson's interval, and the verdict says *on these cells*. It is no
  verdict on the paper's population.
* A reported score is one run's. It is *reproduced* where the mean of our seeds, with its error, is
  inside the margin. It *differs* only where not even one more run of ours would come so near.
* The best of many noisy cells is higher than the best of few. So "the best" is decided cell by
  cell: one cell of the left side must beat every cell of the right one, at a level shared among the
  left's (Bonferroni; an intersection-union test, Berger, Technometrics 24:295, 1982).
* Models that learned little decide no comparison: a side counts where each of its cells' balanced
  accuracy is nearer to the paper's than to chance.

The paper is *contradicted by itself* only where a number is impossible alone, or where two of its
statements exclude each other in every reading that it leaves. A row of scores is one such statement
(`Row`), not four: no single score of it is called wrong. Where one reading allows a statement and
another does not, both readings are shown.
"""

import operator
from functools import reduce
from typing import Annotated

from pydantic import Field

# Named one by one, because keys of content follow imports; each registers its kinds.
from compendium.evidence.rules import arithmetic, comparisons, data, scores
from compendium.evidence.rules.base import GROUPS, RULES, Rule, Tolerance

__all__ = [
    "GROUPS", "RULES", "AnyRule", "Rule", "Tolerance", "arithmetic", "comparisons", "data", "scores"
]  # fmt: skip

#: A rule as data/claims.yaml writes it: its ``kind`` says which class it is.
AnyRule = Annotated[reduce(operator.or_, RULES.values()), Field(discriminator="kind")]
