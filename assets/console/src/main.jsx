// Where the page begins.
import { render } from 'preact';
import { App } from './app.jsx';
import './styles/base.css';
import './styles/frame.css';
import './styles/controls.css';
import './styles/create.css';
import './styles/ticket.css';
import './styles/viewer.css';
import './styles/views.css';

const root = document.getElementById('app');
root.replaceChildren();
render(<App />, root);
