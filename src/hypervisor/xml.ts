import { create } from 'xmlbuilder2';

/** An XML element's content as xmlbuilder2 reads it: `@name` is an attribute, `#` text, any other key an element, or several. */
export interface XmlNode {
  [name: string]: string | number | XmlNode | readonly XmlNode[];
}

/** Writes a document with one root element. Throws for text that XML cannot carry. */
export function writeXml(document: XmlNode): string {
  return `${create(document).end({ headless: true, prettyPrint: true, wellFormed: true })}\n`;
}
