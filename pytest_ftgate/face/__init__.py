"""All that knows pytest, but for the plugin itself, which loads the rest once there is a gate."""
