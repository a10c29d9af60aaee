"""What mean-field theory predicts of a network at initialisation, for any activation.

Everything here is in float64, and follows from an activation's ``phi`` and an init's variances.
"""
