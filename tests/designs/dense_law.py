"""The law of the statistic by its definition: dense matrices and loops, no code of the library."""

import numpy as np


def powers(squared):
    """Scale of residuals by a loop: s_mean (s_i / s_mean)^min(4, h_i / h_mean)."""
    mean = np.mean(1 - squared)
    scale = np.empty(len(squared))
    for i, left in enumerate(squared):
        power = min(4.0, max(0.0, (1 - left) / mean))
        scale[i] = np.sqrt(1 - mean) * np.sqrt(left / (1 - mean)) ** power
    return scale


def form(gram_matrix, residuals, jacobian, influence, statistic):
    """B without a shift: f sum_c A_c' K_0 A_c with A_c = diag(r_c) + S_c l' / n."""
    n = len(residuals)
    kept, factor = {
        "U": (gram_matrix - np.diag(np.diag(gram_matrix)), 1 / (n - 1)),
        "V": (gram_matrix, 1 / n),
    }[statistic]
    blocks = [
        np.diag(r) + s @ influence.T / n
        for r, s in zip(residuals.T, np.moveaxis(jacobian, 1, 0), strict=True)
    ]
    return factor * sum(a.T @ kept @ a for a in blocks)


def shift(form_of_kernel, form_of_identity):
    """Slope c by a double loop over the entries off the diagonal."""
    above = below = 0.0
    for g in range(len(form_of_kernel)):
        for h in range(len(form_of_kernel)):
            if g != h:
                above += form_of_kernel[g, h] * form_of_identity[g, h]
                below += form_of_identity[g, h] ** 2
    return above / below


def law(gram_matrix, psi, scaled, jacobian, influence, statistic, codes=None):
    """Return B - c B_I, the offset f c psi'psi, and c; rows added up within clusters."""
    n = len(psi)
    parts = scaled, jacobian, influence
    cluster = np.eye(n) if codes is None else np.eye(codes.max() + 1)[codes]
    whole = cluster.T @ form(gram_matrix, *parts, statistic) @ cluster
    factor = 1 / (n - 1) if statistic == "U" else 1 / n
    identity = cluster.T @ (factor * n * form(np.eye(n), *parts, "V")) @ cluster
    most = 0.0 if statistic == "U" else np.mean(np.diag(gram_matrix))
    c = min(shift(whole, identity), most)
    return whole - c * identity, factor * c * np.sum(psi**2), c
