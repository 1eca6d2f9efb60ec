"""``python -m tests.conformance [ENGINE-WAY...]``: all cases, or those configurations; some minutes for each."""

from tests.conformance.full import main

if __name__ == "__main__":
    main()
