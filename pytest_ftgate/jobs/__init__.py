"""Fine-tuning jobs: the models and checkpoints that they made, and the file that they were trained on."""
