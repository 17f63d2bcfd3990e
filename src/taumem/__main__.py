"""``python -m taumem`` is ``taumem``."""

from taumem.cli import main

if __name__ == "__main__":
    main()
