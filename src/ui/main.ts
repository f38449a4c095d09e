/**
 * The page's entry: mounts the app and puts the public module on the window.
 *
 * `window.firstlight` is everything of `src/index.ts` plus `loader`, the page's own loader (a getter: another hub in
 * the form means another loader), for the console and for automation. A new version of the app that waits since an
 * earlier visit takes over first: nothing is under way then.
 */
import { mount } from 'svelte';
import { createLoader } from '../client/loader.ts';
import * as firstlight from '../index.ts';
import App from './App.svelte';
import { takeOverBeforeStart } from './offline.ts';
import { LoaderHost } from './stores/loader-host.ts';
import './styles/tokens.css';
import './styles/base.css';

if (!(await takeOverBeforeStart())) start();

function start(): void {
  const host = new LoaderHost(createLoader);

  window.firstlight = {
    ...firstlight,
    get loader() {
      return host.current;
    },
  };

  const target = document.getElementById('app');
  if (target === null) throw new Error('index.html has no element with the id "app".');
  mount(App, { target, props: { host } });
}
