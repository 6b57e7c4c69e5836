# Carbon: `make` lists what there is. Every target sets up what is missing on this machine first.
# Works with the GNU make 3.81 of macOS.

# The stack to work on: Pulumi.$(STACK).yaml has its settings. It is a name and never a command: its text is looked at
# unexpanded, before anything runs, and recipes have it from the environment.
STACK ?= dev
REST := $(value STACK)
LETTERS := a b c d e f g h i j k l m n o p q r s t u v w x y z A B C D E F G H I J K L M N O P Q R S T U V W X Y Z
$(foreach letter,$(LETTERS) 0 1 2 3 4 5 6 7 8 9 _ . -,$(eval REST := $$(subst $(letter),,$$(REST))))
ifneq (<$(REST)>,<>)
$(error STACK is no stack name: it has letters, digits, "_", "." and "-" only, such as STACK=dev)
endif
ifeq (<$(value STACK)>,<>)
$(error STACK is empty: name a stack, such as STACK=dev, or leave it out)
endif
export STACK

CARBON := ./carbon
SETUP := scripts/setup.sh

.DEFAULT_GOAL := help
.PHONY: help setup up preview status drift stop start down test acceptance machines

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "STACK=name picks the stack (now: $$STACK)."

setup: ## Install what is missing on this machine, and say whether all is well
	@CARBON_RETRY=1 $(SETUP)
	@$(CARBON) doctor --stack="$$STACK"

up: ## Build, start and verify the stack
	@$(SETUP)
	@$(CARBON) up --stack="$$STACK" --yes

preview: ## Show what `make up` would change
	@$(SETUP)
	@$(CARBON) preview --stack="$$STACK"

status: ## Show the stack's containers, addresses and last check
	@$(SETUP)
	@$(CARBON) status --stack="$$STACK"

drift: ## Compare what runs with what the stack says
	@$(SETUP)
	@$(CARBON) drift --stack="$$STACK"

stop: ## Stop the stack's containers as they are
	@$(SETUP)
	@$(CARBON) stop --stack="$$STACK"

start: ## Start them again
	@$(SETUP)
	@$(CARBON) start --stack="$$STACK"

down: ## Stop and remove the stack's containers; its data and passwords stay
	@$(SETUP)
	@$(CARBON) down --stack="$$STACK" --yes

test: ## Run the static checks, the unit tests, and the tests of the engine and of slim images (about 20 min)
	@scripts/suite.sh test

acceptance: ## Build and run the full images, then the tests of images on them (about an hour)
	@scripts/suite.sh acceptance

machines: ## Run the tests over several engines: a server, a Swarm, a registry between two platforms; and the other platform's image
	@scripts/suite.sh machines
