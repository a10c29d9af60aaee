"""Run it: networks that carry the run axis themselves, their training, and what is measured."""
