"""How a user of each peer measures a scene: the shortest script by its documentation."""
