"""The expensive measures by block: a battery switches them on in ``probes.blocks``."""

BLOCKS = {
    "accuracy": "accuracy on the test split at every probe, not at init and at the end alone",
    "jacobian": "singular values of dh_L/dx, at init and at the end",
    "shattering": "cosine of delta_1 between inputs, at init and at the end",
    "noise": "signal to noise of every layer's gradient, and the noise scale, at every probe",
    "rank": "effective rank of the last layer's activations, at init and at the end",
    "interference": "what the update of the layers below changes in a layer's gradient",
    "freeze": "trainings with the first layers frozen; accuracy with one layer set back",
    "robustness": "accuracy with noise added to the inputs, at every probe of a training",
    "linear_probe": "accuracy of a linear classifier from every layer, at init and at the end",
    "chain_rule": "explicit product of Jacobians against automatic differentiation, at init",
    "output_bins": "abs(phi') where outputs of a bounded phi lie low, middle, high, at init",
}
BLOCKS_OF_GAMES = {
    "scores": "scores of what is generated at every probe, where they are else at init and at the "
    "end alone: of probes in the training's own passes",
}
