"""The expensive measures by block: a battery switches them on in ``probes.blocks``."""

BLOCKS = {
    "jacobian": "singular values of dh_L/dx, at init and at the end",
    "shattering": "cosine of delta_1 between inputs, at init and at the end",
    "noise": "signal to noise of every layer's gradient, and the noise scale, at every probe",
    "rank": "effective rank of the last layer's activations, at init and at the end",
    "interference": "what the update of the layers below changes in a layer's gradient",
    "freeze": "trainings with the first layers frozen; accuracy with one layer set back",
}
