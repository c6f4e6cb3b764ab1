"""The study: predictions of a model on subjects of known age, and the statistics of them.

Nothing is imported here, so that comparing two printed means costs no more than scipy.
"""

from __future__ import annotations
