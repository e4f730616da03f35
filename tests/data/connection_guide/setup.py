from setuptools import setup, find_packages

setup(
    name='flowlang-myservice',
    version='1.0.0',
    description='MyService connection plugin for FlowLang',
    author='Your Name',
    packages=find_packages(),
    install_requires=[
        'flowlang>=0.1.0',
        'myservice-client>=1.0.0',
    ],
    entry_points={
        'flowlang.connections': [
            'myservice = flowlang_myservice:MyServicePlugin',
        ],
    },
    classifiers=[
        'Development Status :: 4 - Beta',
        'Intended Audience :: Developers',
        'License :: OSI Approved :: MIT License',
        'Programming Language :: Python :: 3.8',
        'Programming Language :: Python :: 3.9',
        'Programming Language :: Python :: 3.10',
        'Programming Language :: Python :: 3.11',
        'Programming Language :: Python :: 3.12',
    ],
)
