"""Age estimation of living adolescents from knee MRI."""

from __future__ import annotations

__version__ = "0.1.0.dev0"
