"""What ``forgo train`` lets one choose, without importing a framework."""

BACKBONES = ("small", "resnet50")
AUGMENTS = ("none", "light", "classic")
