"""Command-line flags for AUTOMATIC1111's WebUI and its forks."""

from argparse import ArgumentParser


def preload(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--beautifulprompt-dir",
        default=None,
        metavar="FOLDER",
        help="folder of Beautiful Prompt models (default: models/beautifulprompt)",
    )
