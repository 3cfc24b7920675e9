"""Run `innovator` as `python -m innovator_rl`."""

from innovator_rl.cli.main import main

if __name__ == "__main__":
    main()
