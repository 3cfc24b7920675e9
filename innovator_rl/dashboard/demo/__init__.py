"""A made-up run for `innovator dashboard --demo`: every view has something to show, without training."""
