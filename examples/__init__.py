"""Programs that use taskd as its users do."""
