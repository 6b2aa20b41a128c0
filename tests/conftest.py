"""What every test shares."""

from hypothesis import settings

# A shared machine may be slow at any moment: a deadline would make a test fail by chance.
settings.register_profile("clearprop", deadline=None, print_blob=True)
settings.load_profile("clearprop")
