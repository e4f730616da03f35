"""Makes a distribution `flowlang` of this folder, which distributed plugins can require."""

from setuptools import find_packages, setup

setup(
    name="flowlang",
    version="0.1.0",
    description="Flows in YAML over connection plugins",
    license="MIT",
    python_requires=">=3.12",
    package_dir={"flowlang": "."},
    packages=["flowlang", *(f"flowlang.{name}" for name in find_packages())],
    package_data={"flowlang": ["templates/*"], "": ["requirements.txt", "example.yaml"]},
    install_requires=["jsonschema", "packaging", "PyYAML"],
    entry_points={"console_scripts": ["flowlang = flowlang.cli.main:main"]},
)
