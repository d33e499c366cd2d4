"""Stock: DockerSpawner 14 as its documentation sets it up, with an image of the user's own."""
