"""Training samples: pairs read, augmented and batched."""
