# SPDX-License-Identifier: Apache-2.0
"""Forms that the user data of a guest can have: those that can be sent again, and those that would
keep a former version.
"""

import base64
import email
import email.mime.application
import email.mime.multipart
import email.mime.text
import email.policy
import gzip
import json

import yaml

PATH = '/etc/trove/conf.d/guest_info.conf'
TEXT = (
    '[DEFAULT]\nguest_id=i1\ndatastore_manager=mariadb\ndatastore_version=10.11.14\ntenant_id=t\n'
)
SCRIPT = '#!/bin/sh\necho hello\n'
APPENDS = 'list(append)+dict(recurse_array)+str()'
LONG = (
    'list(append,recurse_list,recurse_dict,recurse_str) + '
    'dict(recurse_array,no_replace,recurse_list,recurse_str) + str(append)'
)
ADDRESS = 'http://192.0.2.1/more'


def in_base64(content):
    return base64.b64encode(content if isinstance(content, bytes) else content.encode()).decode()


def compressed(text):
    return gzip.compress(text.encode(), mtime=0)


def entry(content=None, encoding=None, **more):
    """An entry of write_files for guest_info.conf."""
    made = {'path': PATH, 'content': in_base64(TEXT) if content is None else content, **more}
    encoding = encoding if content is not None else 'b64'
    return {**made, 'encoding': encoding} if encoding else made


def config(*entries, **more):
    return '#cloud-config\n' + yaml.safe_dump({**more, 'write_files': list(entries)})


def part(content, subtype='cloud-config', **headers):
    """A MIME part; `_` in a header's name stands for `-`."""
    is_text = isinstance(content, str)
    kind = email.mime.text.MIMEText if is_text else email.mime.application.MIMEApplication
    made = kind(content, subtype)
    for name, value in headers.items():
        made[name.replace('_', '-')] = value
    return made


def multipart(*parts, boundary='===='):
    outer = email.mime.multipart.MIMEMultipart(boundary=boundary)
    for one in parts:
        outer.attach(one)
    return outer.as_bytes(policy=email.policy.compat32.clone(max_line_length=0))


def archive(*entries):
    return '#cloud-config-archive\n' + yaml.safe_dump(list(entries))


def patch():
    add = {'op': 'add', 'path': '/write_files/-', 'value': entry()}
    return '#cloud-config-jsonp\n' + json.dumps([add])


EARLIER = part(config({'path': '/a', 'content': 'of an earlier part'}))
LATER = part(config({'path': '/z', 'content': 'of a later part'}), Merge_Type=APPENDS)
SHELL = part(SCRIPT, 'x-shellscript')

#: Name -> user data.  Each writes guest_info.conf for the target once it is rendered, and all else
#: as before.
CHANGED = {
    'one cloud-config': config(entry()).encode(),
    'in capitals, after empty lines': ('\n \n#Cloud-Config\n' + config(entry())[14:]).encode(),
    'compressed': gzip.compress(multipart(part(config(entry()), 'plain'))),
    'a header that appends': multipart(
        EARLIER, part(config(entry()), X_Merge_Type=APPENDS, X_Ours='kept'), LATER
    ),
    'a long header that appends': multipart(EARLIER, part(config(entry()), X_Merge_Type=LONG)),
    'merge_how': multipart(EARLIER, part(config(entry(), merge_how=APPENDS))),
    'merge_type': multipart(
        EARLIER,
        part(
            config(
                entry(),
                merge_type=[
                    {'name': 'list', 'settings': ['append']},
                    {'name': 'dict', 'settings': ['recurse_array']},
                ],
            )
        ),
    ),
    'text/plain': multipart(part(config(entry()), 'plain'), SHELL),
    'text/x-shellscript': multipart(part(config(entry()), 'x-shellscript'), SHELL),
    'no type': multipart(part(config(entry()), 'plain'), SHELL).replace(
        b'Content-Type: text/plain; charset="us-ascii"\n', b''
    ),
    'CRLF': multipart(part(config(entry()), 'plain'), SHELL).replace(b'\n', b'\r\n'),
    'CRLF in one part': multipart(
        part(config(entry())), part(SCRIPT.replace('\n', '\r\n'), 'x-shellscript')
    ),
    'a message that is one part': (
        'MIME-Version: 1.0\nContent-Type: text/cloud-config\nX-Merge-Type: '
        f'{APPENDS}\n\n{config(entry())}'
    ).encode(),
    'a template without places': ('## template: jinja\n' + config(entry())).encode(),
    'a template beside it': multipart(
        part('## template: jinja\n#cloud-config\nhostname: {{ v1.local_hostname }}\n', 'jinja2'),
        LATER,
        part(config(entry()), X_Merge_Type=APPENDS),
    ),
    'an archive': archive(
        config({'path': '/a', 'content': 'of an earlier entry'}),
        {'type': 'text/cloud-config', 'content': config(entry()), 'Merge-Type': APPENDS},
        {'type': 'text/x-shellscript', 'content': SCRIPT},
    ).encode(),
    'an archive in a part': multipart(part(archive(config(entry())), 'cloud-config-archive')),
    'an archive in text/plain': multipart(part(archive({'content': config(entry())}), 'plain')),
    'compressed parts': multipart(
        part(compressed(config(entry())), 'gzip'), part(compressed(SCRIPT), 'x-gzip')
    ),
    'a multipart in a multipart': multipart(
        email.message_from_bytes(multipart(part(config(entry())), SHELL, boundary='==inner==')),
        LATER,
    ),
    'gz+b64': config(entry(in_base64(compressed(TEXT)), 'gz+b64')).encode(),
    'GZIP+base64': config(entry(in_base64(compressed(TEXT)), 'GZIP+base64 ')).encode(),
    'gzip': config(entry(compressed(TEXT), 'gzip')).encode(),
    'gz': config(entry(compressed(TEXT), 'gz')).encode(),
    'base64': config(entry(in_base64(TEXT), 'base64')).encode(),
    'text/plain as an encoding': config(entry(TEXT, 'text/plain')).encode(),
    'an encoding that is unknown': config(entry(TEXT, 'utf-8')).encode(),
    'binary YAML': config(entry(TEXT.encode())).encode(),
    'written in two pieces': config(
        entry('[DEFAULT]\nguest_id=i1\n'), entry('datastore_version=10.11.14\n', append=True)
    ).encode(),
    'another name of the file': config(
        {'path': '/etc/trove/conf.d/own.conf', 'content': TEXT}
    ).encode(),
    'commands that look at it': config(
        entry(),
        runcmd=[['chmod', '0600', PATH], f'grep -q mariadb {PATH}', ['sh', '-c', f'cat {PATH}']],
    ).encode(),
    'a script that looks at it': multipart(
        part(config(entry())),
        part(f'#!/bin/sh\nif [ -s {PATH} ]; then echo there; fi\n', 'x-shellscript'),
    ),
    'no files in an earlier part': multipart(
        part('#cloud-config\nwrite_files:\n'), part(config(entry()))
    ),
}

#: Name -> user data that has the former version where it cannot be changed.
KEPT = {
    'a template with places': (
        '## template: jinja\n' + config(entry()) + 'hostname: {{ v1.local_hostname }}\n'
    ).encode(),
    'content at an address': config(entry(source={'uri': ADDRESS})).encode(),
    'not what its encoding says': config(entry(in_base64(TEXT), 'gz+b64')).encode(),
    'no text': config(entry(b'[DEFAULT]\ndatastore_version=\xff\n')).encode(),
    'a value in two lines': config(entry(TEXT.replace('version=10', 'version=\n 10'))).encode(),
    'an address alone': f'#include\n{ADDRESS}\n'.encode(),
    'an address in a part': multipart(EARLIER, part(f'#include\n{ADDRESS}\n', 'x-include-url')),
    'a script': multipart(
        EARLIER, part(f'#!/bin/sh\ncat > {PATH} <<END\n{TEXT}END\n', 'x-shellscript')
    ),
    'a script beside it': multipart(
        part(config(entry())), part(f'#!/bin/sh\ninfo={PATH}\necho x > $info\n', 'x-shellscript')
    ),
    'a script alone': f'#!/bin/sh\necho {in_base64(TEXT)} | base64 -d > {PATH}\n'.encode(),
    'a boothook': multipart(
        part(config(entry())), part(f'#cloud-boothook\ncp /x {PATH}\n', 'cloud-boothook')
    ),
    'commands': config(entry(), runcmd=[f'sed -i s/version=.*/version=10.11.14/ {PATH}']).encode(),
    'commands at each boot': config(entry(), bootcmd=[['sh', '-c', f'cp /x {PATH}']]).encode(),
    'a script that is written': config(
        entry(),
        {
            'path': '/usr/local/bin/own',
            'content': f'#!/bin/sh\necho datastore_version=10.11.14 >> {PATH}\n',
        },
    ).encode(),
    'a patch': multipart(part(config()), part(patch(), 'cloud-config-jsonp')),
    'YAML that cannot be read': multipart(part(config(entry()) + 'more: [\n')),
    'a compressed part that is none': multipart(part(config(entry()).encode(), 'gzip')),
}
