"""The program ``applyrate``, also as ``python -m applyrate``."""

import sys


def main() -> None:
    """Run the command line, or say in one line how to install what it needs."""
    try:
        from applyrate import cli

        cli.main()
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "applyrate":
            raise
        sys.exit(
            f"applyrate: the service is not installed ({error.name} is missing);"
            " pip install 'applyrate[server]' installs it"
        )


if __name__ == "__main__":
    main()
