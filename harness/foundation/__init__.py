"""What every other package stands on: errors, strict configuration, registries, seeding."""
