# The suite's settings; what follows them is yours.
source /etc/carbon/zshrc
