"""Ordinary least squares as textbooks have it, for laws to be held against."""

import math

import numpy as np
from scipy import stats


def t_intervals(y, columns, at, confidence):
    """Regression of y [runs] on 1 and these columns [runs] each.

    Returns:
        The intervals of the coefficients, that of a new run whose row is `at`, and the two-sided p-value of the last
        coefficient being 1.
    """
    design = np.column_stack([np.ones(len(y)), *columns])
    beta, *_ = np.linalg.lstsq(design, y, rcond=None)
    freedom = len(y) - design.shape[1]
    s = math.sqrt(np.sum((y - design @ beta) ** 2) / freedom)
    covariance = np.linalg.inv(design.T @ design)
    t = stats.t.ppf((1 + confidence) / 2, freedom)
    se = s * np.sqrt(np.diag(covariance))
    reach = t * s * math.sqrt(1 + at @ covariance @ at)
    p_value = 2 * stats.t.sf(abs(beta[-1] - 1) / se[-1], freedom)
    return list(zip(beta - t * se, beta + t * se, strict=True)), (at @ beta - reach, at @ beta + reach), p_value
