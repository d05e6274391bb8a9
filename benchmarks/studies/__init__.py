"""r_em's three studies: fits on raw and on restored images.

Every method sees the same images; the Gaussian fits start near the true columns, as in the paper
(Lobato et al. 2023, Figs. 3 to 5). Errors of positions are of y and x together.
"""
