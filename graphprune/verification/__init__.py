"""The parts of `graphprune.verify`: comparing arrays, opening what is compared, locating the first difference."""
