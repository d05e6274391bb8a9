"""Matter beyond perfect crystals: amorphous, random, graphene, multilayers, low resolution."""
