"""The parts of a network, each stating its maths once for engine, theory and tests."""
