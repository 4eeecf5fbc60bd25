"""The network: a timm encoder and a U-Net decoder."""
