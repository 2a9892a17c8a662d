"""`python -m media_gateway` is the command `media-gateway`."""

from media_gateway.cli import main

if __name__ == "__main__":
    main()
