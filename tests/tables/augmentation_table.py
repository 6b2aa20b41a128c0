"""Who checks the layers that change images at random in training (tests/nn/test_augmentation.py)."""

SOURCES = {
    "flip": "NumPy",  # np.flip
    "shift": "NumPy",  # np.roll within zeros
    "crop": "NumPy",  # a slice of np.pad
    "affine": "SciPy",  # scipy.ndimage.affine_transform
    "color": "NumPy",  # the formula, image by image
    "fancy_pca": "scikit-learn",  # PCA of the colours
    "cutout": "NumPy",  # a slice set to zero
}
