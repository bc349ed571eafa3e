# SPDX-License-Identifier: Apache-2.0
"""Program for a guest's own Python: what its cloud-init makes of user data, without carrying it
out.

Reads a list of user data in base64, and prints for each the files, the other keys of the merged
cloud-config, and what goes to other handlers.
"""

import base64
import json
import logging
import pathlib
import sys
import tempfile

from cloudinit import handlers, helpers, user_data, util
from cloudinit.config import cc_write_files
from cloudinit.handlers import cloud_config, jinja_template

CLOUD_CONFIG = ('text/cloud-config', 'text/cloud-config-jsonp', 'text/jinja2')
FREQUENCY = 'once-per-instance'


def read(blob):
    with tempfile.TemporaryDirectory() as top:
        paths = helpers.Paths({'cloud_dir': top, 'run_dir': top, 'templates_dir': top})
        merging = cloud_config.CloudConfigPartHandler(paths)
        merging.cloud_fn = f'{top}/merged'
        pathlib.Path(paths.get_runpath('instance_data_sensitive')).write_text(
            '{"v1": {"local_hostname": "h1"}}'
        )
        table = helpers.ContentHandlers()
        for handler in (
            merging,
            jinja_template.JinjaTemplatePartHandler(paths, sub_handlers=[merging]),
        ):
            table.register(handler)
        others = walk(user_data.UserDataProcessor(paths).process(blob), merging, table)
        merged = pathlib.Path(merging.cloud_fn)
        config = util.load_yaml(merged.read_text(), default={}) if merged.exists() else {}
    return {'files': files(config.pop('write_files', None) or []), 'rest': config, 'others': others}


def walk(message, merging, table):
    others = []

    def hand_over(data, filename, payload, headers):
        if headers['Content-Type'] in CLOUD_CONFIG:
            handlers.walker_callback(data, filename, payload, headers)
        else:
            others.append([headers['Content-Type'], payload])

    data = {'handlers': table, 'data': None, 'frequency': FREQUENCY, 'excluded': []}
    handlers.call_begin(merging, None, FREQUENCY)
    handlers.walk(message, hand_over, data)
    handlers.call_end(merging, None, FREQUENCY)
    return others


def files(entries):
    found = {}
    for entry in entries:
        steps = cc_write_files.canonicalize_extraction(entry.get('encoding'))
        content = cc_write_files.extract_contents(entry.get('content') or '', steps)
        content = content.decode() if isinstance(content, bytes) else content
        former = found.get(entry['path'], '') if entry.get('append') else ''
        found[entry['path']] = former + content
    return found


logging.disable(logging.CRITICAL)
print(json.dumps([read(base64.b64decode(blob)) for blob in json.load(sys.stdin)], default=str))
