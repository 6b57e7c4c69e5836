# shellcheck shell=sh disable=SC2034 # used by those who source it
# Where carbon's programs look for programs; sourced, and sets nothing but these names. The images' ENV PATH, for what
# `docker exec` starts, says the same the other way round, image before user, because it is root's too
# (tests/unit/build/user-path.test.ts).

# carbon's own Python environment: a virtual environment in the home volume on top of the image's packages. It is carbon's
# PYTHONUSERBASE, too: of what `pip install --user` puts elsewhere, pip in an environment could remove nothing.
carbon_python=/home/carbon/.local/share/carbon/python
# Where installers put programs: pip and uv; uv tool, pipx, npm, pnpm and claude; cargo; go; deno; dotnet.
carbon_user_folders=$carbon_python/bin:/home/carbon/.local/bin:/home/carbon/.cargo/bin:/home/carbon/go/bin:/home/carbon/.deno/bin:/home/carbon/.dotnet/tools
# The first one holds `user-program`.
carbon_image_folders=/opt/carbon/bin:/opt/carbon/venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
carbon_path=$carbon_user_folders:$carbon_image_folders
